package pgdb

// Alike says whether one name may have been meant by the other.
var Alike = alike
