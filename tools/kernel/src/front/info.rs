//! The kernel's information about itself.

use std::path::Path;

use serde_json::{Value, json};

use super::wire::PROTOCOL;

/// The content of a `kernel_info_reply`.
///
/// JupyterLab and nbconvert highlight by the language's name, VS Code by its extension; `text/x-rustsrc` is how CodeMirror
/// knows Rust, and `rust` how Pygments does.
pub(crate) fn kernel_info(repository: &Path) -> Value {
    let mut links = vec![
        json!({ "text": "The Rust book", "url": "https://doc.rust-lang.org/book/" }),
        json!({ "text": "Rust's standard library", "url": "https://doc.rust-lang.org/std/" }),
        json!({ "text": "evcxr, Rust cell by cell", "url": "https://github.com/evcxr/evcxr/blob/main/evcxr_jupyter/README.md" }),
    ];
    let documentation = repository.join("target/doc/helpers/index.html");
    if documentation.exists() {
        let url = format!("file://{}", documentation.display());
        links.insert(0, json!({ "text": "helpers, this project's crate", "url": url }));
    }
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL,
        "implementation": "notebook-kernel",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "banner": "Rust in notebooks: evcxr, with failures that fail and output that lives",
        "debugger": false,
        "supported_features": [],
        "language_info": {
            "name": "rust",
            "version": env!("CARGO_PKG_RUST_VERSION"),
            "mimetype": "text/x-rustsrc",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
        },
        "help_links": links,
    })
}
