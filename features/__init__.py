"""The Gherkin features, an area each."""
