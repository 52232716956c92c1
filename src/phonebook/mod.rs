//! The book of the mesh: fetched, read, compared, kept, published.
