package subjects_test

import (
	"fmt"

	"github.com/petpro/fabric/subjects"
)

func ExampleKinds_Parse() {
	kinds := subjects.Kinds{"booking"}
	name, err := kinds.Parse("booking.42.status")
	fmt.Println(name.Room, name.Type, err)
	_, err = kinds.Parse("user.jane@example.com.notification")
	fmt.Println(err)
	// Output:
	// booking.42 status <nil>
	// not a valid id: subject "user.jane@example.com.notification": "jane@example" looks like the beginning of an e-mail address, use the account id instead
}

func ExampleCheckID() {
	fmt.Println(subjects.CheckID("u_7"))
	fmt.Println(subjects.CheckID("jane@example.com"))
	// Output:
	// <nil>
	// not a valid id: "jane@example.com" holds a '.'; it looks like an e-mail address, use the account id instead
}

func ExampleMatch() {
	room := subjects.Room("booking.42")
	fmt.Println(subjects.Match(room.Pattern(), "booking.42.status"))
	fmt.Println(subjects.Match("booking.>", "user.u_7.booking.42"))
	// Output:
	// true
	// false
}

func ExampleIndexSubject() {
	fmt.Println(subjects.IndexSubject("u_7", "booking.42"))
	// Output: user.u_7.booking.42
}
