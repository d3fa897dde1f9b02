//! Where models, metrics and figures are kept under `export/`.
