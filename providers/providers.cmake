# Data files of this floor that are built into the binary.
embed_file(providers providers/vendors.yaml vendors_yaml)
embed_file(providers providers/prices.yaml prices_yaml)
