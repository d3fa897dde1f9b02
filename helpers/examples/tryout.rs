use helpers::prelude::*;
fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let dataset = Dataset::load(&args[1])?.take_stratified(args[2].parse().unwrap(), 42)?;
    let split = dataset.split(SplitConfig { seed: 42, ..SplitConfig::default() })?;
    let config: FitConfig = serde_json::from_str(&args[4]).unwrap();
    let shape = dataset.image_shape();
    let network = match args[3].split_once(':').unwrap() {
        ("dense", c) => {
            serde_json::from_str::<DenseConfig>(c).unwrap().network(shape, dataset.classes())
        }
        (_, c) => serde_json::from_str::<CnnConfig>(c).unwrap().network(shape, dataset.classes()),
    };
    let mut model = network.build(42)?;
    println!("{:?} threads {}", model, tch::get_num_threads());
    let history = model.fit(&split, config)?;
    println!("{history:?} {} images/s", history.train_images_per_second);
    let t = std::time::Instant::now();
    let e = model.evaluate(&split.validation)?;
    println!("{e:?} {}", t.elapsed().as_secs_f64());
    model.save("/tmp/exp/m.safetensors")?;
    let again = Model::load("/tmp/exp/m.safetensors")?;
    assert_eq!(again.predict(&split.validation)?, model.predict(&split.validation)?);
    Ok(())
}
