"""What a person sees of a sweep: lines that change, tables, words."""
