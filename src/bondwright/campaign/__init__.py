"""A campaign: a folder with its configuration, store and files, and stages run in order."""
