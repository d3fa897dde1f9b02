//! Networks: layers, the builder, initializers and summaries.
