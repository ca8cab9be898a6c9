package pgdb

import "strings"

// alike says whether one name may have been meant by the other: another way of
// writing it (userId, user_id, "Users" for users), or two letters off.
func alike(a, b string) bool {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
	a, b = plain(a), plain(b)
	if a == b || a+"s" == b || a == b+"s" {
		return true
	}
	allowed := min(2, min(len(a), len(b))/3)
	return distance(a, b) <= allowed
}

// distance is Levenshtein's: how many bytes to insert, remove or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
