"""People: signing in at a provider, signing out, and who somebody is."""
