//! All of helpers' tests on its public side, in one program: linking libtorch some twenty times took longer than they run.

mod common;

mod bad_input;
mod bring_your_own_data;
mod callbacks;
mod checkpoints;
mod cluster;
mod denoising;
mod efficientnet_matches_reference;
mod figures;
mod full_disk;
mod grid_search;
mod hostile_names;
mod live;
mod looking;
mod metrics_match_scikit_learn;
mod own_data_to_scores;
mod prelude;
mod provenance;
mod rooms;
mod searches;
mod sizes;
mod source_hash;
mod splits_match_scikit_learn;
mod tensor_board;
mod training;
mod transfer;

/// A file that is not named above would not be compiled, and its tests not be run.
#[test]
fn every_file_is_part_of_the_program() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let source = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(source.contains(&format!("\nmod {module};\n")), "{name}");
        }
    }
}
