//! Both vendors, simulated over HTTP on loopback.
