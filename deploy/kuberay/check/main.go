// Decodes manifests into the types of the very APIs that take them, and refuses what those do not know.
//
// Usage: go run . FILE... ; a file may hold several documents.
package main

import (
	"bytes"
	"fmt"
	"os"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"ray.io/v1 RayCluster":                     func() any { return &rayv1.RayCluster{} },
	"ray.io/v1 RayJob":                         func() any { return &rayv1.RayJob{} },
	"batch/v1 CronJob":                         func() any { return &batchv1.CronJob{} },
	"v1 ConfigMap":                             func() any { return &corev1.ConfigMap{} },
	"v1 PersistentVolumeClaim":                 func() any { return &corev1.PersistentVolumeClaim{} },
	"v1 ServiceAccount":                        func() any { return &corev1.ServiceAccount{} },
	"rbac.authorization.k8s.io/v1 Role":        func() any { return &rbacv1.Role{} },
	"rbac.authorization.k8s.io/v1 RoleBinding": func() any { return &rbacv1.RoleBinding{} },
}

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		content, err := os.ReadFile(path)
		if err != nil {
			fmt.Println(err)
			os.Exit(2)
		}
		for at, document := range bytes.Split(content, []byte("\n---\n")) {
			var head struct{ APIVersion, Kind string }
			if err := yaml.Unmarshal(document, &head); err != nil {
				fmt.Printf("%s, document %d: %v\n", path, at+1, err)
				failed = true
				continue
			}
			name := head.APIVersion + " " + head.Kind
			make, known := kinds[name]
			if !known {
				fmt.Printf("%s, document %d: no API has %q\n", path, at+1, name)
				failed = true
				continue
			}
			if err := yaml.UnmarshalStrict(document, make()); err != nil {
				fmt.Printf("%s, document %d: %v\n", path, at+1, err)
				failed = true
				continue
			}
			fmt.Printf("%s, document %d: %s\n", path, at+1, name)
		}
	}
	if failed {
		os.Exit(1)
	}
}
