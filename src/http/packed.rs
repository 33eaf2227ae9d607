//! Answers in the form in which they are sent, kept by their tags: what is asked for again is not compressed again. That took most of
//! the time of an answer that was in memory.

use std::io::Write as _;
use std::sync::LazyLock;

use actix_web::HttpRequest;
use actix_web::http::header::{AcceptEncoding, ContentEncoding, Encoding, EntityTag, Header as _};
use actix_web::web::Bytes;
use brotli::CompressorWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use moka::sync::Cache;

const MAX_BYTES: u64 = 32 << 20;
/// Beside an answer's own bytes.
const BYTES_OF_AN_ENTRY: usize = 256;
/// Larger ones are compressed while they are sent, a piece at a time, so that no other answer waits. Small ones gain little, but what
/// isn't packed here is compressed on its way, each time, by an encoder that is made for it.
const MOST_BYTES_OF_ONE: usize = 256 << 10;
/// Better than what is made on the way: it is made once for all who ask.
const BROTLI_QUALITY: u32 = 5;
/// The logarithm of Brotli's window: the largest answer.
const BROTLI_WINDOW: u32 = 18;
const BROTLI_BUFFER: usize = 4096;

/// A tag stands for one body, whoever made it: one memory serves all of the process.
static PACKED: LazyLock<Cache<(String, ContentEncoding), Bytes>> = LazyLock::new(|| {
    let weight = |(tag, _): &(String, ContentEncoding), body: &Bytes| {
        u32::try_from(tag.len() + body.len() + BYTES_OF_AN_ENTRY).unwrap_or(u32::MAX)
    };
    Cache::builder().max_capacity(MAX_BYTES).weigher(weight).build()
});

/// The body of this tag as the caller takes it best; none where it is sent as it is, or compressed on its way.
pub(super) fn for_caller(
    request: &HttpRequest,
    tag: &EntityTag,
    body: &Bytes,
    content_type: &str,
) -> Option<(ContentEncoding, Bytes)> {
    if body.len() > MOST_BYTES_OF_ONE || !is_text(content_type) {
        return None;
    }
    let encoding = wanted(request)?;
    let key = (tag.tag().to_owned(), encoding);
    if let Some(packed) = PACKED.get(&key) {
        return Some((encoding, packed));
    }
    let packed = Bytes::from(pack(encoding, body)?);
    PACKED.insert(key, packed.clone());
    Some((encoding, packed))
}

fn is_text(content_type: &str) -> bool {
    content_type == "image/svg+xml" || !content_type.starts_with("image/")
}

/// Brotli wherever it is taken: browsers name gzip first.
fn wanted(request: &HttpRequest) -> Option<ContentEncoding> {
    let accepted = AcceptEncoding::parse(request).ok()?;
    [ContentEncoding::Brotli, ContentEncoding::Gzip].into_iter().find(|encoding| {
        let ours = [Encoding::Known(*encoding), Encoding::identity()];
        accepted.negotiate(ours.iter()) == Some(Encoding::Known(*encoding))
    })
}

fn pack(encoding: ContentEncoding, body: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        ContentEncoding::Brotli => {
            let mut writer = CompressorWriter::new(Vec::new(), BROTLI_BUFFER, BROTLI_QUALITY, BROTLI_WINDOW);
            writer.write_all(body).ok()?;
            Some(writer.into_inner())
        }
        ContentEncoding::Gzip => {
            let mut writer = GzEncoder::new(Vec::new(), Compression::default());
            writer.write_all(body).ok()?;
            writer.finish().ok()
        }
        _ => None,
    }
}
