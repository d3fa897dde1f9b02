//! What a cell shows: HTML tables and PNG pictures, by evcxr's display protocol.
