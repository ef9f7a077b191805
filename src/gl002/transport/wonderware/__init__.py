"""AVEVA (Wonderware) Historian over its SQL Server: settings, the session, streams in and out."""
