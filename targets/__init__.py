"""Hardware: validated descriptions and conductance statistics. Imports no other part."""
