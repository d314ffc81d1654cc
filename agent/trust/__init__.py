"""Who may say what to a station: signed envelopes, the keys behind them, and whether a document is new."""
