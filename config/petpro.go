package config

import _ "embed"

// PetPro is petpro.yaml: the mapping of PetPro's tables in their services
// form, which `fabric dev` uses for its own shop.
//
//go:embed petpro.yaml
var PetPro []byte
