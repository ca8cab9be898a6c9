package pgtest

// Sweep removes what killed test processes have left.
func Sweep() { sweep(tempDir()) }

// Enterable says whether everybody may go to a directory.
var Enterable = enterable
