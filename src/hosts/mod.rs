//! The names that the node already knows: host files of arednlink and OLSR.
