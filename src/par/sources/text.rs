//! Texts: their characters and bytes, which may be cut between any two characters, and their parts,
//! which may be cut where `split.rs` says.

use super::split::{Between, Cut, Inclusive, Rule, SplitSource};
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{IndexedSource, Shared, Source};
use std::fmt;

/// What a text can be searched for: a `char`, one of some (`[char; N]`, `&[char; N]`, `&[char]`),
/// or one that an `Fn(char) -> bool` holds for. It cannot be implemented outside of this crate.
pub trait Pattern: private::Sealed + Sized + Sync + Send {
    #[doc(hidden)]
    fn find_in(&self, text: &str) -> Option<usize>;
    #[doc(hidden)]
    fn rfind_in(&self, text: &str) -> Option<usize>;
    #[doc(hidden)]
    fn split<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str>;
    #[doc(hidden)]
    fn split_inclusive<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str>;
    #[doc(hidden)]
    fn split_terminator<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str>;
    #[doc(hidden)]
    fn strip_suffix<'t>(&self, text: &'t str) -> &'t str;
    #[doc(hidden)]
    fn matches<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str>;
    #[doc(hidden)]
    fn match_indices<'t>(&self, text: &'t str) -> impl Iterator<Item = (usize, &'t str)>;
}

mod private {
    pub trait Sealed {}
}

macro_rules! patterns {
    ($([$($generics:tt)*] $pattern:ty, |$this:ident| $as_std:expr;)*) => {$(
        impl<$($generics)*> private::Sealed for $pattern {}

        impl<$($generics)*> Pattern for $pattern {
            #[inline]
            fn find_in(&self, text: &str) -> Option<usize> {
                let $this = self;
                text.find($as_std)
            }
            #[inline]
            fn rfind_in(&self, text: &str) -> Option<usize> {
                let $this = self;
                text.rfind($as_std)
            }
            #[inline]
            fn split<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
                let $this = self;
                text.split($as_std)
            }
            #[inline]
            fn split_inclusive<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
                let $this = self;
                text.split_inclusive($as_std)
            }
            #[inline]
            fn split_terminator<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
                let $this = self;
                text.split_terminator($as_std)
            }
            #[inline]
            fn strip_suffix<'t>(&self, text: &'t str) -> &'t str {
                let $this = self;
                text.strip_suffix($as_std).unwrap_or(text)
            }
            #[inline]
            fn matches<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
                let $this = self;
                text.matches($as_std)
            }
            #[inline]
            fn match_indices<'t>(&self, text: &'t str) -> impl Iterator<Item = (usize, &'t str)> {
                let $this = self;
                text.match_indices($as_std)
            }
        }
    )*};
}

patterns! {
    [] char, |this| *this;
    [] &[char], |this| *this;
    [const N: usize] [char; N], |this| *this;
    [const N: usize] &[char; N], |this| *this;
    [F: Fn(char) -> bool + Sync + Send] F, |this| this;
}

// ---- between any two characters

/// What there is for each character of a text.
#[doc(hidden)]
pub trait Each: Sync {
    type Item<'t>;
    /// `offset` is how far from the beginning of the whole text this part of it is.
    fn items<'t>(&self, text: &'t str, offset: usize) -> impl Iterator<Item = Self::Item<'t>>;
}

/// What is left of a text, of which a byte is a unit.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct CharSource<'ch, E> {
    text: &'ch str,
    offset: usize,
    each: Shared<E>,
}

impl<'ch, E> CharSource<'ch, E> {
    pub(crate) fn new(text: &'ch str, each: Shared<E>) -> Self {
        CharSource { text, offset: 0, each }
    }
}

// SAFETY: not exact.
unsafe impl<'ch, E: Each> Source for CharSource<'ch, E> {
    type Item = E::Item<'ch>;
    const EXACT: bool = false;
    #[inline]
    fn len(&self) -> usize {
        self.text.len()
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.text.split_at(self.text.ceil_char_boundary(index));
        let offset = self.offset + left.len();
        (CharSource { text: left, ..self }, CharSource { text: right, offset, ..self })
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = E::Item<'ch>> {
        let (front, rest) = self.text.split_at(self.text.ceil_char_boundary(n));
        let offset = self.offset;
        self.text = rest;
        self.offset += front.len();
        self.each.items(front, offset)
    }
}

macro_rules! each {
    ($(
        $name:ident $(<$p:ident>)?, $item:ty, |$this:ident, $text:ident, $offset:ident| $items:expr;
    )*) => {$(
        #[doc(hidden)]
        #[derive(Clone, Debug)]
        pub struct $name $(<$p>(pub(crate) $p))?;

        impl $(<$p: Pattern>)? Each for $name $(<$p>)? {
            type Item<'t> = $item;
            #[inline]
            fn items<'t>(
                &self,
                $text: &'t str,
                $offset: usize,
            ) -> impl Iterator<Item = Self::Item<'t>> {
                let $this = self;
                $items
            }
        }
    )*};
}

each! {
    EachChar, char, |_this, text, _offset| text.chars();
    EachCharIndex, (usize, char), |_this, text, offset| {
        text.char_indices().map(move |(at, c)| (offset + at, c))
    };
    EachUtf16, u16, |_this, text, _offset| text.encode_utf16();
    EachMatch<P>, &'t str, |this, text, _offset| this.0.matches(text);
    EachMatchIndex<P>, (usize, &'t str), |this, text, offset| {
        this.0.match_indices(text).map(move |(at, part)| (offset + at, part))
    };
}

// ---- behind separators

/// Separators end what is yielded, and are no part of it.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Terminated<P>(pub(crate) P);

/// As [`str::lines`] has it.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct ByLine;

/// As [`str::split_whitespace`] has it.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct ByWhitespace;

/// As [`str::split_ascii_whitespace`] has it.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct ByAsciiWhitespace;

/// Where the character at `at` ends.
fn behind(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(0, char::len_utf8)
}

/// `$end` says where the left part ends, given where a separator begins and what is behind it.
macro_rules! rules {
    ($(
        $name:ident $(<$p:ident>)? empty: $empty:tt, |$this:ident| $separator:expr,
        |$at:ident, $behind:ident| $end:expr, |$text:ident| $items:expr, $item:expr;
    )*) => {$(
        impl<'ch $(, $p: Pattern)?> Rule<&'ch str> for $name $(<$p>)? {
            const YIELDS_EMPTY: bool = $empty;
            #[inline]
            fn find(&self, run: &&'ch str, from: usize, to: usize) -> Option<Cut> {
                let $this = self;
                let $at = from + $separator.find_in(&run[from..to])?;
                let $behind = behind(run, $at);
                Some(Cut { end: $end, start: $behind })
            }
            fn rfind(&self, run: &&'ch str, to: usize) -> Option<Cut> {
                let $this = self;
                let $at = $separator.rfind_in(&run[..to])?;
                let $behind = behind(run, $at);
                Some(Cut { end: $end, start: $behind })
            }
            #[inline]
            fn items(&self, $text: &'ch str) -> impl Iterator<Item = &'ch str> {
                let $this = self;
                $items
            }
            #[inline]
            #[allow(unused_variables, reason = "not every rule looks at the separator")]
            fn item(&self, $text: &'ch str) -> Option<&'ch str> {
                let $this = self;
                $item
            }
        }
    )*};
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A line without its end.
fn stripped(line: &str) -> &str {
    match line.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line),
        None => line,
    }
}

rules! {
    Between<P> empty: true, |this| this.0, |at, _behind| at,
    |text| this.0.split(text), Some(text);

    Inclusive<P> empty: false, |this| this.0, |_at, behind| behind,
    |text| this.0.split_inclusive(text), non_empty(text);

    Terminated<P> empty: false, |this| this.0, |_at, behind| behind,
    |text| this.0.split_terminator(text), non_empty(text).map(|text| this.0.strip_suffix(text));

    ByLine empty: false, |_this| '\n', |_at, behind| behind,
    |text| text.lines(), non_empty(text).map(stripped);

    ByWhitespace empty: false, |_this| char::is_whitespace, |at, _behind| at,
    |text| text.split_whitespace(), non_empty(text.trim_end());
}

impl<'ch> Rule<&'ch str> for ByAsciiWhitespace {
    const YIELDS_EMPTY: bool = false;
    // In bytes, which is what makes it faster than `ByWhitespace`.
    #[inline]
    fn find(&self, run: &&'ch str, from: usize, to: usize) -> Option<Cut> {
        let end = from + run.as_bytes()[from..to].iter().position(u8::is_ascii_whitespace)?;
        Some(Cut { end, start: end + 1 })
    }
    fn rfind(&self, run: &&'ch str, to: usize) -> Option<Cut> {
        let end = run.as_bytes()[..to].iter().rposition(u8::is_ascii_whitespace)?;
        Some(Cut { end, start: end + 1 })
    }
    #[inline]
    fn items(&self, run: &'ch str) -> impl Iterator<Item = &'ch str> {
        run.split_ascii_whitespace()
    }
    #[inline]
    fn item(&self, run: &'ch str) -> Option<&'ch str> {
        non_empty(run.trim_ascii_end())
    }
}

// ---- the parallel iterators

macro_rules! texts {
    ($(
        $(#[$doc:meta])*
        $name:ident $(<$p:ident>)?, $source:ident<$by:ty>, $item:ty;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        #[must_use = "parallel iterators are lazy and do nothing unless consumed"]
        pub struct $name<'ch $(, $p: Pattern)?> {
            text: &'ch str,
            by: $by,
        }

        impl<'ch $(, $p: Pattern)?> $name<'ch $(, $p)?> {
            pub(crate) fn new(text: &'ch str, by: $by) -> Self {
                $name { text, by }
            }
        }

        impl<$($p: Pattern)?> fmt::Debug for $name<'_ $(, $p)?> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut debug = f.debug_struct(stringify!($name));
                debug.field("text", &self.text).finish_non_exhaustive()
            }
        }

        impl<'ch $(, $p: Pattern)?> ParallelIterator for $name<'ch $(, $p)?> {
            type Item = $item;
            type Source = texts!(@source $source<$by>);
            unsafe fn source(&mut self) -> Self::Source {
                // SAFETY: `by` stays where it is as long as `self` does.
                let by = unsafe { Shared::new(&self.by) };
                $source::new(self.text, by)
            }
        }
    )*};
    (@source CharSource<$by:ty>) => { CharSource<'ch, $by> };
    (@source SplitSource<$by:ty>) => { SplitSource<&'ch str, $by> };
}

texts! {
    /// What [`par_chars`](crate::str::ParallelString::par_chars) returns.
    Chars, CharSource<EachChar>, char;
    /// What [`par_char_indices`](crate::str::ParallelString::par_char_indices) returns.
    CharIndices, CharSource<EachCharIndex>, (usize, char);
    /// What [`par_encode_utf16`](crate::str::ParallelString::par_encode_utf16) returns.
    EncodeUtf16, CharSource<EachUtf16>, u16;
    /// What [`par_matches`](crate::str::ParallelString::par_matches) returns.
    Matches<P>, CharSource<EachMatch<P>>, &'ch str;
    /// What [`par_match_indices`](crate::str::ParallelString::par_match_indices) returns.
    MatchIndices<P>, CharSource<EachMatchIndex<P>>, (usize, &'ch str);
    /// What [`par_split`](crate::str::ParallelString::par_split) returns.
    Split<P>, SplitSource<Between<P>>, &'ch str;
    /// What [`par_split_inclusive`](crate::str::ParallelString::par_split_inclusive) returns.
    SplitInclusive<P>, SplitSource<Inclusive<P>>, &'ch str;
    /// What [`par_split_terminator`](crate::str::ParallelString::par_split_terminator) returns.
    SplitTerminator<P>, SplitSource<Terminated<P>>, &'ch str;
    /// What [`par_lines`](crate::str::ParallelString::par_lines) returns.
    Lines, SplitSource<ByLine>, &'ch str;
    /// What [`par_split_whitespace`](crate::str::ParallelString::par_split_whitespace) returns.
    SplitWhitespace, SplitSource<ByWhitespace>, &'ch str;
    /// What [`par_split_ascii_whitespace`](crate::str::ParallelString::par_split_ascii_whitespace)
    /// returns.
    SplitAsciiWhitespace, SplitSource<ByAsciiWhitespace>, &'ch str;
}

/// What [`par_bytes`](crate::str::ParallelString::par_bytes) returns.
#[derive(Clone, Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Bytes<'ch> {
    text: &'ch str,
}

impl<'ch> Bytes<'ch> {
    pub(crate) fn new(text: &'ch str) -> Self {
        Bytes { text }
    }
}

impl<'ch> ParallelIterator for Bytes<'ch> {
    type Item = u8;
    type Source = ByteSource<'ch>;
    unsafe fn source(&mut self) -> ByteSource<'ch> {
        ByteSource(self.text.as_bytes())
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.text.len())
    }
}

impl IndexedParallelIterator for Bytes<'_> {}

#[doc(hidden)]
#[derive(Debug)]
pub struct ByteSource<'ch>(&'ch [u8]);

// SAFETY: exact, as slices are.
unsafe impl Source for ByteSource<'_> {
    type Item = u8;
    const EXACT: bool = true;
    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.0.split_at(index);
        (ByteSource(left), ByteSource(right))
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = u8> {
        let (front, rest) = self.0.split_at(n);
        self.0 = rest;
        front.iter().copied()
    }
}

impl IndexedSource for ByteSource<'_> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = u8> {
        let (rest, back) = self.0.split_at(self.0.len() - n);
        self.0 = rest;
        back.iter().rev().copied()
    }
}
