"""The host's JDK in a container: which paths it takes, with all that its links lead to."""
