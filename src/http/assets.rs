//! Static files under `/static`: part of the binary, named by their content, cached for ever.
//!
//! `static/` is compiled in, so the service runs from any directory and can't serve files of another version. At
//! start the files are written out once, under names that hold a hash of their content
//! (`css/base.0a1b2c3d4e5f.css`), and served from there by `actix-files`, which does ranges, conditional requests
//! and content types. A changed file has a new name, so caches never need to ask. References between style sheets,
//! scripts, fonts and images (`url("../img/x.svg")`, `import "./x.js"`) are rewritten to the hashed names.
//!
//! Beside what is text lies the same in Brotli's and gzip's smallest form, which nobody has to wait for. The sheets of every
//! page are one file, `css/site.css`: each request less is a round trip less before the first paint.
//!
//! Looking for `static/` on disk instead (beside the executable, in the checkout) would break as soon as the binary
//! is copied somewhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use actix_files::Files;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpResponse, web};
use brotli::CompressorWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/static");

/// Hashed names are unique in practice at this length: 48 bits for a few hundred files.
const HASH_HEX_DIGITS: usize = 12;
/// Sheets of every page, in the order of their rules.
const SHEETS_OF_ALL: [&str; 5] =
    ["css/tokens.css", "css/base.css", "css/layout.css", "css/components.css", "css/tables.css"];
/// What they are together.
const SITE_SHEET: &str = "css/site.css";
/// Kinds of files that get smaller; pictures and fonts are compressed as they are.
const TEXTS: [&str; 4] = [".css", ".js", ".mjs", ".svg"];
/// Brotli's best, which takes a quarter of a second for all files.
const BROTLI_QUALITY: u32 = 11;
/// The logarithm of Brotli's window: more than any file.
const BROTLI_WINDOW: u32 = 18;
const BROTLI_BUFFER: usize = 4096;
const CACHE_FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

#[derive(Debug, thiserror::Error)]
pub enum AssetsError {
    #[error("static files refer to each other in a circle at {path}")]
    Circle { path: String },
    #[error("static file {path} can't be written")]
    Write { path: PathBuf, source: io::Error },
}

/// The static files of this build, written out and ready to be served.
#[derive(Clone, Debug)]
pub struct Assets {
    directory: PathBuf,
    /// Path in the project (`css/base.css`) → URL (`/static/css/base.<hash>.css`).
    urls: BTreeMap<String, String>,
}

impl Assets {
    /// Writes the files of this build into `directory` (made if missing). Files of other builds there stay, so
    /// that several versions can share it.
    pub fn unpack(directory: &Path) -> Result<Self, AssetsError> {
        let mut naming = Naming { files: BTreeMap::new(), named: BTreeMap::new(), open: BTreeSet::new() };
        collect(&EMBEDDED, &mut naming.files);
        let sheets = SHEETS_OF_ALL.iter().filter_map(|path| naming.files.get(*path));
        let site_sheet = sheets.flatten().copied().collect();
        naming.files.insert(SITE_SHEET.to_owned(), site_sheet);
        let paths: Vec<String> = naming.files.keys().cloned().collect();
        for path in &paths {
            naming.name(path)?;
        }
        for (name, content) in naming.named.values() {
            let path = directory.join(name);
            write_if_missing(&path, content)?;
            if TEXTS.iter().any(|ending| name.ends_with(ending)) {
                write_compressed_if_missing(&path, content)?;
            }
        }
        let urls =
            naming.named.into_iter().map(|(path, (name, _))| (path, format!("/static/{name}"))).collect();
        Ok(Assets { directory: directory.to_owned(), urls })
    }

    /// URL of a static file by its path in the project, `None` when there is no such file.
    pub fn url(&self, path: &str) -> Option<&str> {
        self.urls.get(path).map(String::as_str)
    }

    /// Serves the files under `/static`, and leads to the mark what asks for it without looking at a page.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        if let Some(mark) = self.url("img/favicon.png") {
            config.service(web::redirect("/favicon.ico", mark.to_owned()));
        }
        config.service(
            web::scope("/static")
                .wrap(from_fn(cache_found_files))
                .service(
                    Files::new("/", &self.directory)
                        .prefer_utf8(true)
                        .use_last_modified(false)
                        .try_compressed(),
                )
                .default_service(web::to(HttpResponse::NotFound)),
        );
    }
}

async fn cache_found_files<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let is_found = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    if is_found {
        response.headers_mut().insert(CACHE_CONTROL, CACHE_FOR_EVER);
    }
    Ok(response)
}

fn collect(directory: &Dir<'_>, files: &mut BTreeMap<String, Vec<u8>>) {
    for file in directory.files() {
        files.insert(file.path().to_string_lossy().replace('\\', "/"), file.contents().to_vec());
    }
    for inner in directory.dirs() {
        collect(inner, files);
    }
}

/// Names files by their content, those that a file refers to before the file itself.
struct Naming {
    files: BTreeMap<String, Vec<u8>>,
    /// Path → hashed path and final content.
    named: BTreeMap<String, (String, Vec<u8>)>,
    open: BTreeSet<String>,
}

impl Naming {
    fn name(&mut self, path: &str) -> Result<String, AssetsError> {
        if let Some((name, _)) = self.named.get(path) {
            return Ok(name.clone());
        }
        if !self.open.insert(path.to_owned()) {
            return Err(AssetsError::Circle { path: path.to_owned() });
        }
        let original = self.files.get(path).cloned().unwrap_or_default();
        let refers = path.ends_with(".css") || path.ends_with(".js") || path.ends_with(".mjs");
        let content = match String::from_utf8(original) {
            Ok(text) if refers => self.with_hashed_references(path, &text)?.into_bytes(),
            Ok(text) => text.into_bytes(),
            Err(binary) => binary.into_bytes(),
        };
        let hash: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let name = hashed(path, &hash[..HASH_HEX_DIGITS]);
        self.named.insert(path.to_owned(), (name.clone(), content));
        Ok(name)
    }

    /// References are relative (`./…`, `../…`) and stand between quotes or parentheses.
    fn with_hashed_references(&mut self, path: &str, text: &str) -> Result<String, AssetsError> {
        let mut rewritten = String::with_capacity(text.len() + 256);
        for piece in text.split_inclusive(['"', '\'', '(', ')']) {
            let reference = piece.trim_end_matches(['"', '\'', '(', ')']);
            match resolve(path, reference).filter(|target| self.files.contains_key(target)) {
                Some(target) => {
                    let name = self.name(&target)?;
                    let folder = reference.rfind('/').map_or("", |at| &reference[..=at]);
                    rewritten.push_str(folder);
                    rewritten.push_str(name.rsplit('/').next().unwrap_or(&name));
                    rewritten.push_str(&piece[reference.len()..]);
                }
                None => rewritten.push_str(piece),
            }
        }
        Ok(rewritten)
    }
}

/// `css/base.css` + `../img/x.svg` → `img/x.svg`.
fn resolve(from: &str, reference: &str) -> Option<String> {
    if !(reference.starts_with("./") || reference.starts_with("../")) {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in reference.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// `css/base.css` → `css/base.<hash>.css`.
fn hashed(path: &str, hash: &str) -> String {
    let (folder, file) = path.rsplit_once('/').map_or(("", path), |(folder, file)| (folder, file));
    let file = match file.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}.{hash}.{extension}"),
        None => format!("{file}.{hash}"),
    };
    if folder.is_empty() { file } else { format!("{folder}/{file}") }
}

/// The name says the content, so a file that is there is right; a half-written one never gets the name.
fn write_if_missing(path: &Path, content: &[u8]) -> Result<(), AssetsError> {
    let is_there = std::fs::metadata(path).is_ok_and(|found| found.len() == content.len() as u64);
    if is_there { Ok(()) } else { write(path, content) }
}

/// Writes `<path>.br` and `<path>.gz`, where `actix-files` looks for them.
fn write_compressed_if_missing(path: &Path, content: &[u8]) -> Result<(), AssetsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| AssetsError::Write { path, source }
    };
    let brotli_path = with_ending(path, ".br");
    if !brotli_path.exists() {
        let mut encoder = CompressorWriter::new(Vec::new(), BROTLI_BUFFER, BROTLI_QUALITY, BROTLI_WINDOW);
        encoder.write_all(content).map_err(failed(&brotli_path))?;
        write(&brotli_path, &encoder.into_inner())?;
    }
    let gzip_path = with_ending(path, ".gz");
    if !gzip_path.exists() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder.write_all(content).and_then(|()| encoder.finish());
        write(&gzip_path, &compressed.map_err(failed(&gzip_path))?)?;
    }
    Ok(())
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut whole = path.as_os_str().to_owned();
    whole.push(ending);
    whole.into()
}

fn write(path: &Path, content: &[u8]) -> Result<(), AssetsError> {
    let written = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let temporary = with_ending(path, &format!(".{}.tmp", std::process::id()));
        std::fs::write(&temporary, content)?;
        std::fs::rename(&temporary, path)
    };
    written().map_err(|source| AssetsError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read as _;

    use super::*;

    fn naming(files: &[(&str, &str)]) -> Naming {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Naming { files, named: BTreeMap::new(), open: BTreeSet::new() }
    }

    #[test]
    fn a_reference_follows_the_hashed_name_of_what_it_refers_to() {
        let mut naming = naming(&[
            ("css/a.css", "b{src:url(\"../img/x.svg\") url(../img/none.svg)}"),
            ("img/x.svg", "<svg/>"),
        ]);
        let image = naming.name("img/x.svg").unwrap();
        let sheet = naming.name("css/a.css").unwrap();
        let text = String::from_utf8(naming.named["css/a.css"].1.clone()).unwrap();
        assert_eq!(text, format!("b{{src:url(\"../{image}\") url(../img/none.svg)}}"));
        assert!(sheet.starts_with("css/a.") && sheet.ends_with(".css"), "{sheet}");
    }

    #[test]
    fn a_changed_image_renames_the_sheet_that_shows_it() {
        let name =
            |image: &str| naming(&[("a.css", "url('./x.svg')"), ("x.svg", image)]).name("a.css").unwrap();
        assert_ne!(name("one"), name("two"));
        assert_eq!(name("one"), name("one"));
    }

    #[test]
    fn a_circle_of_references_is_an_error() {
        let mut naming = naming(&[("a.js", "import './b.js'"), ("b.js", "import './a.js'")]);
        assert!(matches!(naming.name("a.js"), Err(AssetsError::Circle { .. })));
    }

    #[test]
    fn every_embedded_file_is_written_under_the_name_of_its_url() {
        let directory = tempfile::tempdir().unwrap();
        let assets = Assets::unpack(directory.path()).unwrap();
        assert!(!assets.urls.is_empty());
        for url in assets.urls.values() {
            let name = url.strip_prefix("/static/").unwrap();
            assert!(directory.path().join(name).is_file(), "{name}");
        }
        assert_eq!(Assets::unpack(directory.path()).unwrap().urls, assets.urls);
    }

    #[test]
    fn the_sheet_of_the_site_is_that_of_its_parts_in_order_with_their_references() {
        let directory = tempfile::tempdir().unwrap();
        let assets = Assets::unpack(directory.path()).unwrap();
        let read = |path: &str| {
            let name = assets.url(path).unwrap().strip_prefix("/static/").unwrap();
            std::fs::read_to_string(directory.path().join(name)).unwrap()
        };
        assert_eq!(read(SITE_SHEET), SHEETS_OF_ALL.map(read).concat());
        assert!(!read(SITE_SHEET).contains("contours.svg\""), "references are those of hashed names");
    }

    #[test]
    fn what_is_text_lies_there_compressed_too() {
        let directory = tempfile::tempdir().unwrap();
        let assets = Assets::unpack(directory.path()).unwrap();
        let script =
            directory.path().join(assets.url("js/theme.js").unwrap().strip_prefix("/static/").unwrap());
        let plain = std::fs::read(&script).unwrap();
        let mut decoded = [Vec::new(), Vec::new()];
        let open = |ending| std::fs::File::open(with_ending(&script, ending)).unwrap();
        brotli::Decompressor::new(open(".br"), BROTLI_BUFFER).read_to_end(&mut decoded[0]).unwrap();
        flate2::read::GzDecoder::new(open(".gz")).read_to_end(&mut decoded[1]).unwrap();
        assert_eq!(decoded, [plain.clone(), plain]);
        let font = assets.url("vendor/public-sans/public-sans-latin-wght-normal.woff2").unwrap();
        let font = directory.path().join(font.strip_prefix("/static/").unwrap());
        assert!(font.exists() && !with_ending(&font, ".br").exists(), "a font is compressed as it is");
    }
}
