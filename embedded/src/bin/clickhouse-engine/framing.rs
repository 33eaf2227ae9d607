//! ClickHouse's block framing of HTTP bodies (`decompress=1`, `compress=1`):
//! CityHash128 (16 bytes) · method (1) · compressed size with this header (4, LE) · plain size (4, LE) · data.
//!
//! The checksum covers everything after itself and is verified: a body cut or mixed up on its way
//! must fail before a row of it is stored.

use bytes::{Buf, BufMut, Bytes, BytesMut};

const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
const METHOD_LZ4: u8 = 0x82;
const METHOD_NONE: u8 = 0x02;
/// A server's limit for one block.
const MAX_BLOCK_BYTES: usize = 1 << 30;
/// Plain bytes of one answer block; the server's default `max_compress_block_size`.
const ANSWER_BLOCK_BYTES: usize = 1 << 20;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    #[error("checksum of a compressed block doesn't match")]
    Checksum,
    #[error("unknown compression method {0:#04x}, LZ4 is supported")]
    Method(u8),
    #[error("a compressed block of {0} bytes is out of bounds")]
    Size(usize),
    #[error("a compressed block can't be decompressed")]
    Lz4,
    #[error("the body ends inside a compressed block")]
    Truncated,
}

/// Takes a body in pieces of any size and gives its plain blocks.
#[derive(Default)]
pub struct FrameDecoder {
    pending: BytesMut,
}

impl FrameDecoder {
    pub fn push(&mut self, piece: &[u8], blocks: &mut Vec<Bytes>) -> Result<(), FrameError> {
        self.pending.extend_from_slice(piece);
        while let Some(block) = self.next_block()? {
            blocks.push(block);
        }
        Ok(())
    }

    /// Called at the end of the body.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.pending.is_empty() { Ok(()) } else { Err(FrameError::Truncated) }
    }

    fn next_block(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.pending.len() < CHECKSUM_BYTES + HEADER_BYTES {
            return Ok(None);
        }
        let mut header = &self.pending[CHECKSUM_BYTES..];
        let method = header.get_u8();
        let compressed_size = header.get_u32_le() as usize;
        let plain_size = header.get_u32_le() as usize;
        if !(HEADER_BYTES..=MAX_BLOCK_BYTES).contains(&compressed_size) {
            return Err(FrameError::Size(compressed_size));
        }
        if plain_size > MAX_BLOCK_BYTES {
            return Err(FrameError::Size(plain_size));
        }
        if self.pending.len() < CHECKSUM_BYTES + compressed_size {
            return Ok(None);
        }
        let frame = self.pending.split_to(CHECKSUM_BYTES + compressed_size).freeze();
        let expected = (&frame[..CHECKSUM_BYTES]).get_u128_le();
        if checksum(&frame[CHECKSUM_BYTES..]) != expected {
            return Err(FrameError::Checksum);
        }
        let data = frame.slice(CHECKSUM_BYTES + HEADER_BYTES..);
        match method {
            METHOD_NONE => Ok(Some(data)),
            METHOD_LZ4 => {
                let plain = lz4_flex::block::decompress(&data, plain_size).map_err(|_| FrameError::Lz4)?;
                Ok(Some(plain.into()))
            }
            other => Err(FrameError::Method(other)),
        }
    }
}

/// Frames an answer.
pub fn encode(plain: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    for block in plain.chunks(ANSWER_BLOCK_BYTES) {
        let compressed = lz4_flex::block::compress(block);
        let mut body = BytesMut::with_capacity(HEADER_BYTES + compressed.len());
        body.put_u8(METHOD_LZ4);
        // Both fit: a block is at most 1 MiB and LZ4 grows it by less than 1 %.
        body.put_u32_le((HEADER_BYTES + compressed.len()) as u32);
        body.put_u32_le(block.len() as u32);
        body.put_slice(&compressed);
        framed.put_u128_le(checksum(&body));
        framed.put_slice(&body);
    }
    framed.freeze()
}

/// The two halves of CityHash 1.0.2 are written low word first.
fn checksum(bytes: &[u8]) -> u128 {
    cityhash_rs::cityhash_102_128(bytes).rotate_right(64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn decode(framed: &[u8], piece_size: usize) -> Result<Vec<u8>, FrameError> {
        let mut decoder = FrameDecoder::default();
        let mut blocks = Vec::new();
        for piece in framed.chunks(piece_size) {
            decoder.push(piece, &mut blocks)?;
        }
        decoder.finish()?;
        Ok(blocks.concat())
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_back_however_it_is_cut(
            plain in proptest::collection::vec(any::<u8>(), 0..5_000),
            piece_size in 1_usize..600,
        ) {
            prop_assert_eq!(decode(&encode(&plain), piece_size).unwrap(), plain);
        }

        #[test]
        fn a_changed_byte_never_passes(
            plain in proptest::collection::vec(any::<u8>(), 1..500),
            position in any::<prop::sample::Index>(),
        ) {
            let mut framed = encode(&plain).to_vec();
            let position = position.index(framed.len());
            framed[position] ^= 0x40;
            prop_assert!(decode(&framed, 64).is_err());
        }
    }

    #[test]
    fn a_body_cut_inside_a_block_is_truncated() {
        let framed = encode(b"some rows");
        assert_eq!(decode(&framed[..framed.len() - 1], 7), Err(FrameError::Truncated));
    }
}
