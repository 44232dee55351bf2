//! An engine from the command line, until the real one is built: `serve DATA_DIR HOST:PORT [--config FILE] [key=value]..`.
//! It stops in order when its standard input ends.

use std::error::Error;
use std::io::Read;
use std::path::Path;

use highwater_engine::settings::{Address, Properties};
use highwater_engine::{Engine, Settings};

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .init();
    let mut arguments = std::env::args().skip(1);
    let (Some(data_dir), Some(listen)) = (arguments.next(), arguments.next()) else {
        return Err("usage: serve DATA_DIR HOST:PORT [--config FILE] [key=value]..".into());
    };
    let rest: Vec<String> = arguments.collect();
    let (mut properties, pairs) = match rest.as_slice() {
        [flag, file, pairs @ ..] if flag == "--config" => {
            (Properties::read(Path::new(file))?, pairs)
        }
        pairs => (Properties::new(), pairs),
    };
    properties.set_data_dir(Path::new(&data_dir));
    properties.set_listener(&Address::parse(&listen)?);
    for pair in pairs {
        properties.set_pair(pair)?;
    }
    let engine = Engine::start(Settings::parse(&properties)?)?;
    println!("{}", engine.local_addr());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    engine.shutdown()?;
    Ok(())
}
