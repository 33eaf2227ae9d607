//! The faces of the pages (`ops/vendor.sh`), unpacked once: Big Shoulders Stencil for names and figures, Public Sans for the rest,
//! and Noto Sans for the Cyrillic and Greek letters that neither has. All three are under the SIL Open Font License.

use std::io::{self, Read as _};
use std::sync::LazyLock;

use ab_glyph::{Font as _, FontVec, GlyphId, InvalidFont};
use flate2::read::ZlibDecoder;

static FACES: LazyLock<Result<Faces, FaceError>> = LazyLock::new(|| {
    Ok(Faces {
        display: Face::of([
            include_bytes!("fonts/big-shoulders-stencil/big-shoulders-stencil-latin-700-normal.woff"),
            include_bytes!("fonts/big-shoulders-stencil/big-shoulders-stencil-latin-ext-700-normal.woff"),
            include_bytes!("fonts/noto-sans/noto-sans-cyrillic-700-normal.woff"),
            include_bytes!("fonts/noto-sans/noto-sans-greek-700-normal.woff"),
        ])?,
        text: Face::of([
            include_bytes!("fonts/public-sans/public-sans-latin-600-normal.woff"),
            include_bytes!("fonts/public-sans/public-sans-latin-ext-600-normal.woff"),
            include_bytes!("fonts/noto-sans/noto-sans-cyrillic-700-normal.woff"),
            include_bytes!("fonts/noto-sans/noto-sans-greek-700-normal.woff"),
        ])?,
    })
});

#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    #[error("a font's file can't be unpacked")]
    Unpack(#[from] io::Error),
    #[error("a font can't be read")]
    Read(#[from] InvalidFont),
}

pub struct Faces {
    /// Headings and large figures.
    pub display: Face,
    pub text: Face,
}

impl Faces {
    /// # Errors
    /// When the fonts of this build are broken.
    pub fn get() -> Result<&'static Self, &'static FaceError> {
        FACES.as_ref()
    }
}

/// One look in several files, each with letters that those before it lack.
pub struct Face(Vec<FontVec>);

impl Face {
    fn of(files: [&[u8]; 4]) -> Result<Self, FaceError> {
        let fonts = files.into_iter().map(|woff| Ok(FontVec::try_from_vec(unpacked(woff)?)?));
        fonts.collect::<Result<_, FaceError>>().map(Face)
    }

    /// The first font that has a letter, and where in it.
    pub fn glyph(&self, character: char) -> Option<(&FontVec, GlyphId)> {
        let in_font = |font| (font, FontVec::glyph_id(font, character));
        self.0.iter().map(in_font).find(|(_, glyph)| glyph.0 != 0)
    }
}

const WOFF_HEADER: usize = 44;
const WOFF_ENTRY: usize = 20;
const SFNT_HEADER: usize = 12;
const SFNT_ENTRY: usize = 16;

/// The font in a WOFF 1 file (<https://www.w3.org/TR/WOFF/>): the same tables, those that got smaller by it compressed.
fn unpacked(woff: &[u8]) -> io::Result<Vec<u8>> {
    let piece = |from: usize, length: usize| {
        woff.get(from..from + length).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let number = |from: usize| piece(from, 4).map(|it| u32::from_be_bytes([it[0], it[1], it[2], it[3]]));
    if piece(0, 4)? != b"wOFF" {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no WOFF file"));
    }
    let tables = (number(12)? >> 16) as usize;
    let mut sfnt = piece(4, 4)?.to_vec();
    sfnt.extend_from_slice(piece(12, 2)?);
    // What helps to search the list of tables, which nobody needs for so few.
    sfnt.resize(SFNT_HEADER + tables * SFNT_ENTRY, 0);
    for index in 0..tables {
        let entry = WOFF_HEADER + index * WOFF_ENTRY;
        let [at, packed_length, length] = [number(entry + 4)?, number(entry + 8)?, number(entry + 12)?];
        let packed = piece(at as usize, packed_length as usize)?;
        let listed = SFNT_HEADER + index * SFNT_ENTRY;
        let start = sfnt.len();
        sfnt[listed..listed + 4].copy_from_slice(piece(entry, 4)?);
        sfnt[listed + 4..listed + 8].copy_from_slice(piece(entry + 16, 4)?);
        sfnt[listed + 8..listed + 12].copy_from_slice(&(start as u32).to_be_bytes());
        sfnt[listed + 12..listed + 16].copy_from_slice(&length.to_be_bytes());
        match packed_length < length {
            true => _ = ZlibDecoder::new(packed).take(length.into()).read_to_end(&mut sfnt)?,
            false => sfnt.extend_from_slice(packed),
        }
        sfnt.resize(start + (length as usize).next_multiple_of(4), 0);
    }
    Ok(sfnt)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn both_faces_have_the_letters_that_names_are_made_of() {
        let faces = Faces::get().unwrap();
        for (name, face) in [("display", &faces.display), ("text", &faces.text)] {
            for letter in "azAZ09 [](){}<>=-_.:|!^~éßØþłŻőğЖиїΩλ…–·".chars() {
                assert!(face.glyph(letter).is_some(), "{name}: {letter:?}");
            }
            assert!(face.glyph('漢').is_none(), "{name}");
        }
    }

    #[test]
    fn half_a_file_is_an_error() {
        let whole = include_bytes!("fonts/noto-sans/noto-sans-greek-700-normal.woff");
        assert!(unpacked(whole).is_ok());
        for length in [0, 3, 43, 100, whole.len() / 2] {
            assert!(unpacked(&whole[..length]).is_err(), "{length}");
        }
    }
}
