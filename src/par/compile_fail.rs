//! What must not compile. Each stands beside its twin that does.
//!
//! Two threads that write the same variable:
//! ```compile_fail,E0594
//! use windlass::prelude::*;
//! let mut n = 0;
//! (0..10).into_par_iter().for_each(|i| n += i);
//! ```
//! ```
//! use std::sync::atomic::{AtomicI32, Ordering};
//! use windlass::prelude::*;
//! let n = AtomicI32::new(0);
//! (0..10).into_par_iter().for_each(|i| drop(n.fetch_add(i, Ordering::Relaxed)));
//! ```
//!
//! A `Cell` that threads share:
//! ```compile_fail,E0277
//! use windlass::prelude::*;
//! let n = std::cell::Cell::new(0);
//! (0..10).into_par_iter().for_each(|i| n.set(i));
//! ```
//!
//! Items that must stay on their thread:
//! ```compile_fail,E0599
//! use std::rc::Rc;
//! use windlass::prelude::*;
//! let v = vec![Rc::new(1), Rc::new(2)];
//! v.par_iter().for_each(drop);
//! ```
//! ```
//! use std::sync::Arc;
//! use windlass::prelude::*;
//! let v = vec![Arc::new(1), Arc::new(2)];
//! v.par_iter().for_each(drop);
//! ```
//!
//! Results that must stay on their thread:
//! ```compile_fail,E0277
//! use std::rc::Rc;
//! use windlass::prelude::*;
//! let v: Vec<_> = (0..10).into_par_iter().map(|i| Rc::new(i)).collect();
//! ```
//!
//! A state that must stay on its thread is handed on, other than in rayon:
//! ```compile_fail,E0277
//! use std::rc::Rc;
//! use windlass::prelude::*;
//! (0..10).into_par_iter().for_each_init(|| Rc::new(1), |state, i| assert!(i < 10 * **state));
//! ```
//!
//! Results that outlive what they borrow:
//! ```compile_fail,E0597
//! use windlass::prelude::*;
//! let longest;
//! {
//!     let v = vec!["a".to_owned(), "bc".to_owned()];
//!     longest = v.par_iter().map(|s| s.as_str()).max_by_key(|s| s.len());
//! }
//! assert_eq!(longest, Some("bc"));
//! ```
//!
//! A reference that escapes from the closure to which the item belongs:
//! ```compile_fail,E0515
//! use windlass::prelude::*;
//! let v: Vec<&str> = (0..3).into_par_iter().map(|i| i.to_string().as_str()).collect();
//! ```
//!
//! Two loops that change the same slice at once:
//! ```compile_fail,E0499
//! use windlass::prelude::*;
//! let mut v = [1, 2, 3];
//! let (a, b) = (v.par_iter_mut(), v.par_iter_mut());
//! a.zip(b).for_each(|(a, b)| std::mem::swap(a, b));
//! ```
//!
//! An ordinary iterator of a loop, which a thread would have to keep running behind our back:
//! ```compile_fail,E0505
//! use windlass::prelude::*;
//! let v = vec![1, 2, 3];
//! let mut seq = v.par_iter().into_seq_iter();
//! drop(v);
//! seq.next();
//! ```
//!
//! Positions of items whose number is not known:
//! ```compile_fail,E0599
//! use windlass::prelude::*;
//! (0..10).into_par_iter().filter(|i| i % 2 == 0).enumerate().count();
//! ```
//! ```
//! use windlass::prelude::*;
//! (0..10).into_par_iter().enumerate().filter(|(_, i)| i % 2 == 0).count();
//! ```
