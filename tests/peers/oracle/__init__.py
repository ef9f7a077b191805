"""An Oracle E-Business Suite for tests: its wire, the PL/SQL it runs, its public packages."""
