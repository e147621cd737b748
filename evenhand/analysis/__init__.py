"""What the records mean: numbers before pictures. Pure functions of records; nothing here draws or stores."""
