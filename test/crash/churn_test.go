package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// group is how the objects of an inventory change.
type group struct {
	inventory string
	objects   int
	deletes   float64 // how many of the changes delete
}

var groups = []group{{many, 60, 0.25}, {few, 2, 0.6}}

// versions tells contents apart, so that none comes back.
var versions atomic.Int64

// put writes an object, whose row is like no other before.
func (s *scene) put(ctx context.Context, inventory, name string) error {
	version := fmt.Sprint(versions.Add(1))
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": inventory, "version": version}},
		Data:       map[string]string{"value": version, "tags": "b " + version},
	}
	maps := s.core.CoreV1().ConfigMaps(s.ns)
	_, err := maps.Update(ctx, object, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = maps.Create(ctx, object, metav1.CreateOptions{})
	}
	return err
}

func (s *scene) remove(ctx context.Context, name string) error {
	return s.core.CoreV1().ConfigMaps(s.ns).Delete(ctx, name, metav1.DeleteOptions{})
}

// churn makes, changes and deletes objects until the context ends. It alone changes
// those whose names end so.
func (s *scene) churn(ctx context.Context, r *rand.Rand, suffix string) {
	for ctx.Err() == nil {
		g := groups[0]
		if r.Float64() < 0.2 {
			g = groups[1]
		}
		name := fmt.Sprintf("%s-%02d-%s", g.inventory, r.IntN(g.objects), suffix)
		var err error
		if r.Float64() < g.deletes {
			err = s.remove(ctx, name)
		} else {
			err = s.put(ctx, g.inventory, name)
		}
		if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
			s.Errorf("change %s: %v", name, err)
			return
		}
		pause(ctx, time.Duration(r.IntN(int(10*time.Millisecond)))) // leaves processors to the servers
	}
}
