"""The trading day replayed over past sessions, exactly or fast."""
