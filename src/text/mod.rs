//! Text: how values are shown, and how the little that comes as text is cut and read.
//!
//! | file | |
//! | --- | --- |
//! | `line` | [`Line`], the one writer of the program, and the macros that write into it |
//! | `escaping` | bytes from anywhere, shown so that a line stays one line |
//! | `words` | words and numbers |
//! | `parts` | a text cut at separators |

mod escaping;
mod line;
mod parts;
mod words;

pub use escaping::{EXCERPT_SIZE, Escaped, Excerpt};
pub use line::{LINE_SIZE, Line};
pub use parts::{
    Parts, Piece, Pieces, column, first_part, has_byte, last_part, next_piece, pieces, split,
    split_once,
};
pub use words::{append, find_word, is_nearly, is_one_of, is_word, number, trim_end, without_mark};
