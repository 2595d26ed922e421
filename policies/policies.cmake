# Data files of this floor that are built into the binary.
embed_file(policies policies/weights/router.weights router_weights)
