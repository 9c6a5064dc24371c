"""How a proximal femur is found: ``grid`` (where is looked), ``heads`` (balls of bone),
``spheres`` (their fit), ``necks`` and ``shafts`` (what leaves a ball), ``pairs`` (whose hips),
``planes`` (what is shown). ``select`` puts them together."""
