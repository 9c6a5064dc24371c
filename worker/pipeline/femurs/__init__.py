"""How a proximal femur is found: ``grid`` (where is looked), ``heads`` (balls of bone),
``necks`` (the rod that leaves a ball). ``select`` puts them together."""
