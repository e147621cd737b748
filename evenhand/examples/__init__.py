"""Tasks to read and to start from; each is whole, and uses what `import evenhand` gives only."""
