//! Where jobs live: small ones side by side in chunks, each thread filling its own.
//!
//! Taking a place is a bump, giving it back one subtraction from the chunk's count, from whichever
//! thread; a place is not used again before its chunk is empty as a whole. So jobs that are
//! submitted together lie together, and an allocator that is slow at giving memory back to another
//! thread is asked once a chunk. The price: a job that stays, or a handle that is kept, keeps a
//! chunk of 4 KiB.
//!
//! I1. `left` counts the places that are given away, plus what the filling thread has not given
//!     away yet. The one that takes it to zero owns the chunk.
//!
//! Debug builds do without, so that a sanitizer sees each job by itself.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Two cache lines: what most jobs need.
pub(super) const PLACE: usize = 128;
const CHUNK: usize = 4096;
/// The first place holds the count.
const PLACES: u32 = (CHUNK / PLACE) as u32 - 1;
/// How many empty chunks are kept for later: 8 MiB.
const KEPT: usize = 2048;

const LAYOUT: Layout = match Layout::from_size_align(CHUNK, CHUNK) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

/// At the start of a chunk.
struct Head {
    left: AtomicU32,
}

struct Chunk(NonNull<Head>);

// SAFETY: an empty chunk, which is nobody's.
unsafe impl Send for Chunk {}

static EMPTY: Mutex<Vec<Chunk>> = Mutex::new(Vec::new());

fn empty() -> MutexGuard<'static, Vec<Chunk>> {
    EMPTY.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The chunk that this thread fills, and how many places of it are left.
struct Filling {
    chunk: Cell<*mut Head>,
    left: Cell<u32>,
}

thread_local! {
    static FILLING: Filling = const { Filling { chunk: Cell::new(ptr::null_mut()), left: Cell::new(0) } };
}

impl Drop for Filling {
    fn drop(&mut self) {
        let (chunk, left) = (self.chunk.replace(ptr::null_mut()), self.left.replace(0));
        if let Some(chunk) = NonNull::new(chunk).filter(|_| left > 0) {
            // SAFETY: the places that we have not given away.
            unsafe { give_back(chunk, left) };
        }
    }
}

/// Memory for a job, if it fits into a place.
#[inline]
pub(super) fn take(layout: Layout) -> Option<NonNull<u8>> {
    if layout.size() > PLACE || layout.align() > PLACE || cfg!(debug_assertions) {
        return None;
    }
    // A thread that is about to end uses the allocator.
    FILLING.try_with(Filling::take).ok()
}

impl Filling {
    #[inline]
    fn take(&self) -> NonNull<u8> {
        if self.left.get() == 0 {
            self.chunk.set(new_chunk().as_ptr());
            self.left.set(PLACES);
        }
        let nth = self.left.get();
        self.left.set(nth - 1);
        // From the back to the front; the head lies before the first.
        // SAFETY: inside of the chunk, and not null.
        unsafe { NonNull::new_unchecked(self.chunk.get().cast::<u8>().add(nth as usize * PLACE)) }
    }
}

#[cold]
fn new_chunk() -> NonNull<Head> {
    const { assert!(size_of::<Head>() <= PLACE) };
    let kept = empty().pop();
    let chunk = match kept {
        Some(Chunk(chunk)) => chunk,
        // SAFETY: the layout's size is not zero.
        None => NonNull::new(unsafe { alloc(LAYOUT) })
            .unwrap_or_else(|| handle_alloc_error(LAYOUT))
            .cast(),
    };
    // SAFETY: ours alone, and large enough.
    unsafe { chunk.write(Head { left: AtomicU32::new(PLACES) }) };
    chunk
}

/// Gives the place back.
///
/// # Safety
/// It is from [`take`], and nothing is in it any more.
#[inline]
pub(super) unsafe fn put(place: NonNull<u8>) {
    let chunk = place.as_ptr().map_addr(|addr| addr & !(CHUNK - 1)).cast::<Head>();
    // SAFETY: a place of a chunk, which is aligned to its size, and one of its count.
    unsafe { give_back(NonNull::new_unchecked(chunk), 1) };
}

/// # Safety
/// The caller has `count` places of the chunk.
unsafe fn give_back(chunk: NonNull<Head>, count: u32) {
    // AcqRel: what was done in the places happened before somebody uses them again.
    // SAFETY: live as long as one of its places is somebody's.
    let before = unsafe { chunk.as_ref() }.left.fetch_sub(count, Ordering::AcqRel);
    if before == count {
        keep_or_free(chunk);
    }
}

#[cold]
fn keep_or_free(chunk: NonNull<Head>) {
    let mut empty = empty();
    if empty.len() < KEPT {
        return empty.push(Chunk(chunk));
    }
    drop(empty);
    // SAFETY: from `alloc` with this layout, and nobody's any more (I1).
    unsafe { dealloc(chunk.as_ptr().cast(), LAYOUT) };
}
