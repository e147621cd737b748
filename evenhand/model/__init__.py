"""The nouns as records, and the rules that are pure functions of them."""
