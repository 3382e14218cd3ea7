"""Who calls, and what they may do: API keys, tokens and certificates become identities, and methods need scopes."""
