//! The Jupyter kernel of the notebooks: evcxr on a warm build of helpers.

fn main() {
    evcxr::runtime_hook();
}
