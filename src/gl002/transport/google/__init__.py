"""Google Cloud: how a program proves who it is."""
