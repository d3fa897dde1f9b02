//! A page with some pictures of each class, to check the data before hours of training.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::ExtendedColorType;
use image::ImageEncoder;
use image::codecs::png::PngEncoder;

use crate::arrays::Array;
use crate::request::Request;

/// Number of pictures per class.
const SHOWN: usize = 8;

/// Writes the page: pictures of each class, evenly spread over it.
pub(crate) fn write(
    path: &Path,
    x: &Array,
    request: &Request,
    classes: &[String],
    counts: &[usize],
) -> io::Result<()> {
    // In the array, the pictures of a class are consecutive.
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    let mut first = 0;
    for (class, &count) in counts.iter().enumerate() {
        let shown = SHOWN.min(count);
        chosen.extend((0..shown).map(|index| (first + index * count / shown, class)));
        first += count;
    }
    let mut pictures: Vec<Vec<String>> = vec![Vec::new(); classes.len()];
    let (mut index, mut next) = (0, 0);
    let mut problem = None;
    x.each(|pixels| {
        if let Some(&(position, class)) = chosen.get(next)
            && position == index
        {
            next += 1;
            match png(pixels, request) {
                Ok(png) => pictures[class].push(STANDARD.encode(png)),
                Err(error) => problem = Some(error),
            }
        }
        index += 1;
    })?;
    if let Some(error) = problem {
        return Err(io::Error::other(error));
    }
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Pictures of each class</title>\n\
         <style>body{font:1rem/1.5 system-ui,sans-serif;margin:2rem;color-scheme:light dark}\
         img{width:96px;height:96px;margin:2px;image-rendering:pixelated}h2{font-size:1rem;margin:1.2rem 0 .2rem}</style></head>\n\
         <body><h1>Pictures of each class</h1>\n",
    );
    for ((class, count), pictures) in classes.iter().zip(counts).zip(pictures) {
        let class = escaped(class);
        page += &format!("<h2>{class} ({count})</h2>\n");
        for (number, picture) in pictures.iter().enumerate() {
            let number = number + 1;
            page += &format!(
                "<img alt=\"{class}, picture {number}\" src=\"data:image/png;base64,{picture}\">\n"
            );
        }
    }
    page += "</body></html>\n";
    fs::write(path, page)
}

fn png(pixels: &[u8], request: &Request) -> Result<Vec<u8>, image::ImageError> {
    let kind = if request.grey { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let (side, mut png) = (request.side as u32, Vec::new());
    PngEncoder::new(&mut png).write_image(pixels, side, side, kind)?;
    Ok(png)
}

/// Any text, escaped for HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
