//! The parallel methods of strings, and strings that are made, and drained, in parallel.

use super::consumers::Consumer;
use super::convert::{
    FromParallelIterator, IntoParallelIterator, ParallelDrainRange, ParallelExtend,
};
use super::iter::ParallelIterator;
use super::run;
use super::source::Shared;
use super::sources::split::{Between, Inclusive};
use super::sources::text::*;
use std::borrow::Cow;
use std::ops::{Range, RangeBounds};

/// Parallel methods of strings.
///
/// Each yields what the method of [`str`] yields that has its name without `par_`, in that order.
/// Patterns are a `char`, an array or a slice of them, or an `Fn(char) -> bool`: [`Pattern`].
///
/// The work is shared between characters or, where parts of the text are yielded, at the ends of
/// those: a text in which nothing matches is one piece of work.
pub trait ParallelString {
    /// The string itself.
    fn as_parallel_string(&self) -> &str;

    /// The characters.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!("abç".par_chars().max(), Some('ç'));
    /// ```
    fn par_chars(&self) -> Chars<'_> {
        Chars::new(self.as_parallel_string(), EachChar)
    }

    /// The characters, each with the byte that it begins at.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<(usize, char)> = "çb".par_char_indices().collect();
    /// assert_eq!(v, [(0, 'ç'), (2, 'b')]);
    /// ```
    fn par_char_indices(&self) -> CharIndices<'_> {
        CharIndices::new(self.as_parallel_string(), EachCharIndex)
    }

    /// The bytes. Their number is known, so this one can be zipped, reversed and the like.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let at = "to be".par_bytes().position_first(|byte| byte == b' ');
    /// assert_eq!(at, Some(2));
    /// ```
    fn par_bytes(&self) -> Bytes<'_> {
        Bytes::new(self.as_parallel_string())
    }

    /// The text in UTF-16.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<u16> = "a𝄞".par_encode_utf16().collect();
    /// assert_eq!(v, [0x61, 0xD834, 0xDD1E]);
    /// ```
    fn par_encode_utf16(&self) -> EncodeUtf16<'_> {
        EncodeUtf16::new(self.as_parallel_string(), EachUtf16)
    }

    /// What is between the characters that match.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<&str> = "1, 2,".par_split(',').collect();
    /// assert_eq!(v, ["1", " 2", ""]);
    /// ```
    fn par_split<P: Pattern>(&self, separator: P) -> Split<'_, P> {
        Split::new(self.as_parallel_string(), Between(separator))
    }

    /// [`par_split`](Self::par_split) with the separator at the end of each part. What follows the
    /// last one is not yielded if it is empty.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<&str> = "1, 2,".par_split_inclusive(',').collect();
    /// assert_eq!(v, ["1,", " 2,"]);
    /// ```
    fn par_split_inclusive<P: Pattern>(&self, separator: P) -> SplitInclusive<'_, P> {
        SplitInclusive::new(self.as_parallel_string(), Inclusive(separator))
    }

    /// [`par_split`](Self::par_split), but what follows the last match is not yielded if it is
    /// empty.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<&str> = "1, 2,".par_split_terminator(',').collect();
    /// assert_eq!(v, ["1", " 2"]);
    /// ```
    fn par_split_terminator<P: Pattern>(&self, terminator: P) -> SplitTerminator<'_, P> {
        SplitTerminator::new(self.as_parallel_string(), Terminated(terminator))
    }

    /// The lines, without their ends: `\n` or `\r\n`.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let sum: i32 = "1\n2\r\n3".par_lines().map(|line| line.parse::<i32>().unwrap()).sum();
    /// assert_eq!(sum, 6);
    /// ```
    fn par_lines(&self) -> Lines<'_> {
        Lines::new(self.as_parallel_string(), ByLine)
    }

    /// The words: what is between whitespace, and not empty.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let longest = " to be\tor not ".par_split_whitespace().max_by_key(|word| word.len());
    /// assert_eq!(longest, Some("not"));
    /// ```
    fn par_split_whitespace(&self) -> SplitWhitespace<'_> {
        SplitWhitespace::new(self.as_parallel_string(), ByWhitespace)
    }

    /// [`par_split_whitespace`](Self::par_split_whitespace) of ASCII alone, which is faster.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<&str> = " a\u{a0}b c".par_split_ascii_whitespace().collect();
    /// assert_eq!(v, ["a\u{a0}b", "c"]);
    /// ```
    fn par_split_ascii_whitespace(&self) -> SplitAsciiWhitespace<'_> {
        SplitAsciiWhitespace::new(self.as_parallel_string(), ByAsciiWhitespace)
    }

    /// The characters that match, each as a part of the text.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!("1, 2, 33".par_matches(char::is_numeric).count(), 4);
    /// ```
    fn par_matches<P: Pattern>(&self, pattern: P) -> Matches<'_, P> {
        Matches::new(self.as_parallel_string(), EachMatch(pattern))
    }

    /// [`par_matches`](Self::par_matches), each with the byte that it begins at.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<(usize, &str)> = "a.b,c".par_match_indices(['.', ',']).collect();
    /// assert_eq!(v, [(1, "."), (3, ",")]);
    /// ```
    fn par_match_indices<P: Pattern>(&self, pattern: P) -> MatchIndices<'_, P> {
        MatchIndices::new(self.as_parallel_string(), EachMatchIndex(pattern))
    }
}

impl ParallelString for str {
    fn as_parallel_string(&self) -> &str {
        self
    }
}

// ---- into strings

/// Keeps each part of the text in a string of its own. A loop that nobody shares is one part.
struct Concat(String);

impl<T> Consumer<T> for Concat
where
    String: Extend<T>,
{
    type Out = Vec<String>;
    fn split_at(self, _: usize) -> (Self, Self) {
        (self, Concat(String::new()))
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>) {
        self.0.extend(items);
    }
    fn finish(self) -> Vec<String> {
        if self.0.is_empty() { Vec::new() } else { vec![self.0] }
    }
    fn merge(mut left: Vec<String>, mut right: Vec<String>) -> Vec<String> {
        if left.is_empty() {
            return right;
        }
        left.append(&mut right);
        left
    }
}

fn extend<I: ParallelIterator>(target: &mut String, iter: I)
where
    String: Extend<I::Item>,
{
    let parts = run(iter, Concat(String::new()));
    let mut total = parts.iter().map(String::len).sum::<usize>();
    let mut parts = parts.into_iter();
    // The first part becomes the string, unless that has memory which is large enough.
    if target.is_empty()
        && target.capacity() < total
        && let Some(first) = parts.next()
    {
        total -= first.len();
        *target = first;
    }
    target.reserve(total);
    parts.for_each(|part| target.push_str(&part));
}

macro_rules! into_string {
    ($([$($a:lifetime)?] $item:ty;)*) => {$(
        impl<$($a)?> ParallelExtend<$item> for String {
            fn par_extend<I: IntoParallelIterator<Item = $item>>(&mut self, items: I) {
                extend(self, items.into_par_iter());
            }
        }

        impl<$($a)?> FromParallelIterator<$item> for String {
            fn from_par_iter<I: IntoParallelIterator<Item = $item>>(items: I) -> Self {
                let mut string = String::new();
                string.par_extend(items);
                string
            }
        }

        impl<$($a)?> FromParallelIterator<$item> for Box<str> {
            fn from_par_iter<I: IntoParallelIterator<Item = $item>>(items: I) -> Self {
                String::from_par_iter(items).into_boxed_str()
            }
        }
    )*};
}

into_string! {
    [] char;
    ['a] &'a char;
    ['a] &'a str;
    [] String;
    [] Box<str>;
    ['a] Cow<'a, str>;
}

// ---- out of strings

/// What [`par_drain`](ParallelDrainRange::par_drain) of a string returns.
#[derive(Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Drain<'data> {
    string: &'data mut String,
    range: Range<usize>,
}

impl<'data> ParallelDrainRange for &'data mut String {
    type Iter = Drain<'data>;
    type Item = char;
    /// # Panics
    /// If the range is out of bounds, or begins or ends within a character.
    #[track_caller]
    fn par_drain<R: RangeBounds<usize>>(self, range: R) -> Drain<'data> {
        // Checks the range, with the messages of the standard library.
        let drained = &self[(range.start_bound().cloned(), range.end_bound().cloned())];
        let start = drained.as_ptr().addr() - self.as_ptr().addr();
        Drain { range: start..start + drained.len(), string: self }
    }
}

impl<'data> ParallelIterator for Drain<'data> {
    type Item = char;
    type Source = CharSource<'data, EachChar>;
    unsafe fn source(&mut self) -> Self::Source {
        let text: *const str = &raw const self.string[self.range.clone()];
        // SAFETY: the string is borrowed for `'data`, and not touched until the source is gone: it
        // is changed when `self` is dropped, which by contract comes later.
        let text: &'data str = unsafe { &*text };
        // SAFETY: a value for all times.
        let each = unsafe { Shared::new(&EachChar) };
        CharSource::new(text, each)
    }
}

impl Drop for Drain<'_> {
    fn drop(&mut self) {
        self.string.drain(self.range.clone());
    }
}
