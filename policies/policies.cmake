# Data files of this floor that are built into the binary.
embed_file(policies policies/weights/router.weights router_weights)
embed_file(policies policies/weights/ordinary.jsonl ordinary_prompts)
# Rows of small integers are added up and histograms filled: that wants vector instructions.
set_source_files_properties(policies/classifier.cc policies/count_heads.cc
  policies/feature_reader.cc policies/features.cc policies/forest.cc policies/topics.cc policies/tree_lanes.cc policies/tree_ranks.cc
  policies/text_masks.cc policies/word_marks.cc policies/word_rows.cc
  PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:-O3>")
