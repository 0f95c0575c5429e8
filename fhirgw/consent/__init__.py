"""Labels, rules, decisions, compilation, redaction and explanation: pure."""
