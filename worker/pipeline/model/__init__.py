"""Classification of a crop: model packages, networks, inference and Grad-CAM."""
