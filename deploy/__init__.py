"""The ward: embedded servers, the demo, and the files that run osteoscreen in a hospital."""
